"""The console: what the server has and decides, as pages for a browser.

One module for each part of the menu. A page is a view like those of the API: its guard asks the
policies, and what it writes is decided again. What a page offers (`chrome`, `Offers`) is asked of
the policy as well, and is no more than an offer.
"""
