"""Theories that are the best function of a restricted class, by least squares in closed form.

    linear           affine: full, rank r, equivariant, local
    polynomial       total degree p in principal coordinates, or pixel by pixel
    power_features, power_patches    random power features of the image, or of a sliding window
    bottleneck       linear encoder, several decoders
    hermite, moments, powers         the mathematics they share

For a new class copy `linear.py`. A posterior mean that forgets something belongs in `posteriors`.
"""
