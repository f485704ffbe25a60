"""shipfit fits large language models to GPUs and ships them.

The package is layered; a module imports only from layers below it in this picture:

    cli  >  loadtest  >  serve  >  quantize  >  artifacts  >  sizing  >  precision  >  hardware  >  models
         >  environments  >  spec  >  core
"""

__version__ = "0.1.0"
