"""The data of a site: dumps and files through the engine, and the containers of its database servers."""
