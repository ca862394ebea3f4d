"""The gate: is head worse than base? Quality by paired non-inferiority, speed by interleaved measurement. No torch."""
