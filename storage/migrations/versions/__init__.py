"""One module per migration; each opens with what it is for."""
