"""How right the sizing model is: its predictions beside measured figures, and beside other predictors.

Rows (``rows``) become something to size (``subjects``), are predicted (``memory``, ``speed``), scored (``scores``,
``goals``) and written as a page (``page``, ``plots``).

    python -m benchmarks.sizing
"""
