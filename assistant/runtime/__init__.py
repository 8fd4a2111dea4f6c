"""What runs things and knows no speech: clock, workers, graph, spans."""
