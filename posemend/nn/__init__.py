"""Networks. Nothing here opens a data set; everything here needs torch."""
