"""How the models are made: endless varied samples, one loop, recipes. Needs torch."""
