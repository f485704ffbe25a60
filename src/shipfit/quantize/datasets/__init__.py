"""Datasets: what ``calibration.dataset`` and ``gate.dataset`` name, checked and turned into files of documents.

| module | from | to |
|---|---|---|
| ``asked`` | the entries of a spec | how much of each is needed |
| ``places`` | what an entry names | the files to read (``bucket`` and ``hub`` fetch them when they are read) |
| ``folders`` | many files | those of the split (``splits``: by their names) |
| ``formats`` | a file (``tables``: Parquet and Arrow) | rows |
| ``rows`` | a row | a document: text or a conversation |
| ``overlap`` | the gate's documents | those that are not in the calibration text |
| ``keep`` | documents | a file that is named by its content |
| ``read`` | a pipeline | a Dataset for each part |
"""

from shipfit.quantize.datasets.model import Dataset, DocumentFile, Part
from shipfit.quantize.datasets.read import read_datasets

__all__ = ["Dataset", "DocumentFile", "Part", "read_datasets"]
