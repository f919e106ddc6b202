"""Images in memory: official files, class folders or generated, decoded once into a shared cache.

find a source -> check its counts -> decode, fit, fingerprint -> cache entry -> memory maps
"""

from replicate.data.arrays import ImageData, Split
from replicate.data.cache import entries, load, prepare, verify
from replicate.data.overview import Row, describe

__all__ = ["ImageData", "Row", "Split", "describe", "entries", "load", "prepare", "verify"]
