"""Speed of equipot beside nequip."""
