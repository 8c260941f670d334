"""What a potential is worth: its errors on labelled structures, and the physics it gives."""
