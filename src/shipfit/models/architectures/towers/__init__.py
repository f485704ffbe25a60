"""Towers that turn images into tokens, by model family; what a configuration leaves out is transformers' default."""
