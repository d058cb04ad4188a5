"""The provider core: what can answer a request, one provider a file."""
