"""From a prompt to a reply: sampling, speculation, generation."""
