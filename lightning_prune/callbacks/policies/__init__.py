"""How fast the cycles learn: the policies, each the rates of one retraining variant, by family."""
