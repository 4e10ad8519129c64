"""The claims, in the order of docs/claims.md."""

from benchmarks.claims.catalog import controls, retraining

CLAIMS = (*retraining.CLAIMS, *controls.CLAIMS)
