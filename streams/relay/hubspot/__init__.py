"""HubSpot targets, by HubSpot's CRM API v3.

`mapping` says which property gets which fact, `stages` what may be done to a lifecycle stage, `account` sends requests
and reads answers, `delivery` writes contacts, `tasks` what sales is to do, `properties` makes what all this needs.
"""
