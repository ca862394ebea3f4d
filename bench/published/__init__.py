"""What the paper publishes (Adversarial Diffusion Distillation, arXiv 2311.17042), as data with source and error."""
