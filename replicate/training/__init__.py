"""Training: one spec, one seed and its images in, one outcome out."""
