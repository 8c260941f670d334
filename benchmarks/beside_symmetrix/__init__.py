"""equipot beside symmetrix-xl, which runs MACE networks on CPUs without torch."""
