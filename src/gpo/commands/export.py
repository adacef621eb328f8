def run(settings, ui, *, resume=None):
    raise NotImplementedError
