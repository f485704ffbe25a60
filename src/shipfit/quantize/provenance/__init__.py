"""Where an artifact comes from, in the forms that others read: a model card, a bill of materials, its licence."""

from shipfit.quantize.provenance.licence import licence_of
from shipfit.quantize.provenance.write import write_provenance

__all__ = ["licence_of", "write_provenance"]
