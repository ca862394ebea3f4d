"""What adversarial objectives share: heads on frozen features, backbones, augmentation, losses of both players."""
