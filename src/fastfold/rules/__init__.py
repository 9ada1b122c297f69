"""Rules: their language and that of Sigma, read, checked and compiled; those that ship lie beside this file."""
