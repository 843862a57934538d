"""What a study's trials say about configurations that were not tried: values, costs, and where to look next."""
