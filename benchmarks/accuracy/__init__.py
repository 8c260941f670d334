"""Test errors after training on public sets, beside published errors."""
