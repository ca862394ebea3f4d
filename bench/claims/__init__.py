"""The paper's ablations and claims as data, and what stored records say about them. No torch."""
