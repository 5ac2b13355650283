"""Chaos: the arrival flow with everything around it killed and broken at random moments, against a run that is left alone.

python -m benchmarks.chaos --kills 100 --seed 0
"""
