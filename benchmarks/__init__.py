"""Measurements. What is faster, and by how much, is said by a program that anyone can run, and by nothing else."""
