"""Iterative causal discovery (ICD) with latent confounders, compiled; `explainer.icd` is the way in.

In the order of the paper (Rohekar et al. 2021, algorithm 1; rules of Zhang 2008):

    kernel        the loop over radii, and what Python calls
    candidates    which sets may separate a pair: ICD-Sep
    search        one radius: grow the sets, test, vote
    partial       partial correlations while a set grows
    independence  Fisher's z as a cut-off; what is refused
    arrowheads    R0-R4
    tails         R5-R10
    legality      whether the marks are those of any equivalence class
    graph, bits   marks as sets of bits
"""
