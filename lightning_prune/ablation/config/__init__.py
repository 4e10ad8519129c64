"""Read what the user writes: the YAML file of a study, its arms and their keys."""
