"""Hostile input in bulk: mutated images, side files and lake files, images that declare much, coordinate reference systems.

    python -m benchmarks.hostile --seed 0          # 10,000 inputs and more; the table of docs/lab-notebook/reliability.md

Each family runs in a process of its own whose private memory may not grow past 4 GiB. What counts: every input ends in an
answer or in an error of ours (never a traceback), no sound image is lost and no unsound one vanishes without a reason, and no
damaged file of a lake is read as other values.
"""
