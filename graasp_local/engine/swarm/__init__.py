"""A site on several machines of a Docker Swarm: its services and tasks there, their images, the machines."""
