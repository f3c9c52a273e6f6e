"""Frames: how messages between edge and cloud look as bytes."""
