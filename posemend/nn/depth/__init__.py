"""RefiNet's three modules (D'Eusanio et al., ICPR 2020): cut-outs of the depth map, the body, local point clouds.

Each works on ITOP's 15 joints, one frame at a time, on the input that
`posemend.contract.depth` makes, and answers with its own expected error. The
published forms can be chosen by their options (``PUBLISHED`` in each module).
"""
