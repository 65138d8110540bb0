"""Sales' answers: from a signed webhook, HubSpot and Salesforce to sales-feedback."""
