"""What sampling costs: latency and its stages, throughput, memory, energy, work. Images are not judged here."""
