package sandbox

// allTables are the standard tables, as far as postlink meets them, and two custom ones, of which new_complaint has a
// relationship to Social Activity. Columns and labels are those of Microsoft's table references; lengths count UTF-16 code
// units. The order is that of Snapshot and of the list of tables in metadata. Each call makes new tables, because newSchema
// changes them.
func allTables() []*table {
	return []*table{
		socialActivity(), socialProfile(), contact(), account(), incident(), lead(), organization(), systemUser(),
		customTable("complaint", "Complaint"), customTable("vehicle", "Vehicle"),
	}
}

// customTable is a table that the organization's makers added, under their prefix "new". Only custom tables have a column with
// several choices. That new_vehicle is not related is on purpose: a client that offers custom tables has to leave it out.
func customTable(name, label string) *table {
	topics := column{name: "new_topics", label: "Topics", kind: kindMultiSelect, create: true, update: true, choices: []choice{
		{value: 1, label: "Delay"}, {value: 2, label: "Baggage"}, {value: 3, label: "Staff"}}}
	columns := []column{text("new_name", "Name", 100), memo("new_description", "Description", 2000), topics}
	return newTable(table{name: "new_" + name, set: "new_" + name + "s", label: label, plural: label + "s", id: "new_" + name + "id",
		title: "new_name", custom: true, columns: append(columns, activeStates()...)})
}

// newTable adds the columns of every table: the primary key first, then owner and time columns. That the key is column 0 is relied
// on by insert, primaryKey and selection. System tables have neither owner nor times.
func newTable(t table) *table {
	key := column{name: t.id, label: t.label, kind: kindGUID, create: true, level: "SystemRequired"}
	columns := append([]column{key}, t.columns...)
	if !t.system {
		columns = append(columns,
			column{name: "ownerid", label: "Owner", kind: kindOwner, create: true, update: true, level: "SystemRequired",
				targets: []target{{"systemuser", "ownerid"}}},
			readOnly(column{name: "owninguser", label: "Owning User", kind: kindLookup, targets: []target{{"systemuser", "owninguser"}}}),
			readOnly(column{name: "createdby", label: "Created By", kind: kindLookup, targets: []target{{"systemuser", "createdby"}}}),
			readOnly(column{name: "createdon", label: "Created On", kind: kindDateTime}),
			readOnly(column{name: "modifiedon", label: "Modified On", kind: kindDateTime}),
		)
	}
	t.columns = append(columns, readOnly(column{name: "versionnumber", label: "Version Number", kind: kindBigInt}))
	return &t
}

// socialActivity has sentimentvalue and socialadditionalparams for creates only; community may be updated here, though not on
// a social profile. A postid may occur many times: the table has no key on it, so a client that must not create an activity twice
// has to choose the activityid itself. The addresses of many posts are longer than posturl takes, and are refused, not cut.
func socialActivity() *table {
	columns := []column{
		text("subject", "Subject", 200),
		memo("description", "Post Description", 2000),
		pick("community", "Social Channel", nil, communities...),
		pick("postmessagetype", "Received As", nil, choice{value: 0, label: "Public Message"}, choice{value: 1, label: "Private Message"}),
		flag("directioncode", "Direction", "Incoming", "Outgoing"),
		once(double("sentimentvalue", "Sentiment Value", -1e11, 1e11)),
		text("posturl", "Post URL", 200),
		text("postid", "Post ID", 160),
		text("threadid", "Thread ID", 160),
		text("inresponseto", "In Response To", 160),
		text("posttoprofileid", "Posted To", 200),
		date("postedon", "Created On"),
		memo("activityadditionalparams", "Additional Parameters", 8192),
		once(memo("socialadditionalparams", "Social Additional Parameters", 8192)),
		pick("prioritycode", "Priority", int64(1), choice{value: 0, label: "Low"}, choice{value: 1, label: "Normal"}, choice{value: 2, label: "High"}),
		customer("postauthor", "Post Author"),
		formRequired(customer("postauthoraccount", "Post Author Account")),
		refer("postfromprofileid", "Posted By", target{"socialprofile", "postfromprofileid"}),
		refer("regardingobjectid", "Regarding",
			target{"account", "regardingobjectid_account_socialactivity"},
			target{"contact", "regardingobjectid_contact_socialactivity"},
			target{"incident", "regardingobjectid_incident_socialactivity"},
			target{"lead", "regardingobjectid_lead_socialactivity"},
			target{"new_complaint", "regardingobjectid_new_complaint_socialactivity"}),
		refer("slaid", "SLA", target{"sla", "sla_socialactivity_sla"}),
		readOnly(column{name: "activitytypecode", label: "Activity Type", kind: kindEntityName, initial: "socialactivity"}),
		states(choice{value: 0, label: "Open", status: 4}, choice{value: 1, label: "Completed", status: 3}, choice{value: 2, label: "Canceled", status: 5}),
		statuses(4, choice{value: 4, label: "Open"}, choice{value: 1, label: "Completed", state: 1},
			choice{value: 2, label: "Failed", state: 1}, choice{value: 3, label: "Processing", state: 1}, choice{value: 5, label: "Canceled", state: 2}),
	}
	t := newTable(table{name: "socialactivity", set: "socialactivities", label: "Social Activity", plural: "Social Activities",
		id: "activityid", title: "subject", indexed: []string{"postid"}, columns: columns,
		extras: []extra{{name: "from", attribute: "PartyList"}, {name: "to", attribute: "PartyList"}}})
	for i := range t.columns { // other tables call these Created On and Modified On
		switch t.columns[i].name {
		case "activityid":
			t.columns[i].label = "Activity"
		case "createdon":
			t.columns[i].label = "Created Date"
		case "modifiedon":
			t.columns[i].label = "Last Updated"
		}
	}
	return t
}

// socialProfile is an author on one network. Nothing keeps two profiles from having one uniqueprofileid: a look-up may find
// several. When a profile is deleted, its activities are deleted with it.
func socialProfile() *table {
	columns := []column{
		text("profilename", "Social Profile", 100),
		text("uniqueprofileid", "Social Profile ID", 100),
		text("profilefullname", "Full Name", 160),
		text("profilelink", "Profile Link", 100),
		once(pick("community", "Social Channel", nil, communities...)),
		double("influencescore", "Influence Score", 0, 1e9),
		flag("blocked", "Blocked", "No", "Yes"),
		customer("customerid", "Customer"),
	}
	return newTable(table{name: "socialprofile", set: "socialprofiles", label: "Social Profile", plural: "Social Profiles",
		id: "socialprofileid", title: "profilename", indexed: []string{"uniqueprofileid"}, columns: append(columns, activeStates()...)})
}

// contact has a fullname that the organization computes from first and last name. The last name is required on forms only: the
// Web API creates a contact without any name.
func contact() *table {
	columns := []column{
		text("firstname", "First Name", 50),
		formRequired(text("lastname", "Last Name", 50)),
		readOnly(text("fullname", "Full Name", 160)),
		text("nickname", "Nickname", 100),
		text("jobtitle", "Job Title", 100),
		text("emailaddress1", "Email", 100),
		text("telephone1", "Business Phone", 50),
		text("websiteurl", "Website", 200),
		memo("description", "Description", 2000),
		{name: "parentcustomerid", label: "Company Name", kind: kindCustomer, create: true, update: true,
			targets: []target{{"account", "parentcustomerid_account"}, {"contact", "parentcustomerid_contact"}}},
	}
	return newTable(table{name: "contact", set: "contacts", label: "Contact", plural: "Contacts",
		id: "contactid", title: "fullname", columns: append(columns, activeStates()...)})
}

func account() *table {
	columns := []column{
		formRequired(text("name", "Account Name", 160)),
		text("accountnumber", "Account Number", 20),
		text("telephone1", "Main Phone", 50),
		text("websiteurl", "Website", 200),
		memo("description", "Description", 2000),
	}
	return newTable(table{name: "account", set: "accounts", label: "Account", plural: "Accounts",
		id: "accountid", title: "name", columns: append(columns, activeStates()...)})
}

// incident is the case. It cannot be created without a customer, and Dynamics resolves it by an action instead of its statecode;
// complete and completeState have both rules.
func incident() *table {
	columns := []column{
		formRequired(text("title", "Case Title", 200)),
		once(text("ticketnumber", "Case Number", 100)),
		memo("description", "Description", 2000),
		pick("caseorigincode", "Origin", nil, choice{value: 1, label: "Phone"}, choice{value: 2, label: "Email"}, choice{value: 3, label: "Web"},
			choice{value: 2483, label: "Facebook"}, choice{value: 3986, label: "Twitter"}),
		pick("prioritycode", "Priority", int64(2), choice{value: 1, label: "High"}, choice{value: 2, label: "Normal"}, choice{value: 3, label: "Low"}),
		formRequired(customer("customerid", "Customer")),
		refer("slaid", "SLA", target{"sla", "slaid_sla"}),
		states(choice{value: 0, label: "Active", status: 1}, choice{value: 1, label: "Resolved", status: 5}, choice{value: 2, label: "Canceled", status: 6}),
		statuses(1, choice{value: 1, label: "In Progress"}, choice{value: 2, label: "On Hold"}, choice{value: 3, label: "Waiting for Details"},
			choice{value: 4, label: "Researching"}, choice{value: 5, label: "Problem Solved", state: 1}, choice{value: 6, label: "Canceled", state: 2}),
	}
	return newTable(table{name: "incident", set: "incidents", label: "Case", plural: "Cases", id: "incidentid", title: "title", columns: columns})
}

// lead has a fullname like a contact. Lead and incident belong to the apps for sales and service, and Dynamics has no such set
// where the app is not installed; here both always exist.
func lead() *table {
	columns := []column{
		formRequired(text("subject", "Topic", 300)),
		text("firstname", "First Name", 50),
		formRequired(text("lastname", "Last Name", 50)),
		readOnly(text("fullname", "Name", 160)),
		text("companyname", "Company Name", 100),
		text("emailaddress1", "Email", 100),
		memo("description", "Description", 2000),
		refer("parentcontactid", "Parent Contact for lead", target{"contact", "parentcontactid"}),
		states(choice{value: 0, label: "Open", status: 1}, choice{value: 1, label: "Qualified", status: 3}, choice{value: 2, label: "Disqualified", status: 4}),
		statuses(1, choice{value: 1, label: "New"}, choice{value: 2, label: "Contacted"}, choice{value: 3, label: "Qualified", state: 1},
			choice{value: 4, label: "Lost", state: 2}, choice{value: 5, label: "Cannot Contact", state: 2}),
	}
	return newTable(table{name: "lead", set: "leads", label: "Lead", plural: "Leads", id: "leadid", title: "fullname", columns: columns})
}

// organization has one record. Clients may write its disablesocialcare, which is a setting of the sandbox; a social activity is
// refused for that column, not for socialinsightsenabled, which only has a similar name.
func organization() *table {
	columns := []column{
		readOnly(text("name", "Organization Name", 160)),
		flag("disablesocialcare", "Is Social Care disabled", "No", "Yes"),
		readOnly(flag("socialinsightsenabled", "Social Insights Enabled", "No", "Yes")),
		readOnly(column{name: "languagecode", label: "Language", kind: kindInteger, min: 0, max: 1 << 31}),
	}
	return newTable(table{name: "organization", set: "organizations", label: "Organization", plural: "Organizations",
		id: "organizationid", title: "name", system: true, columns: columns})
}

// systemUser has one record, the application user that all clients sign in as and that owns what they create.
func systemUser() *table {
	columns := []column{
		readOnly(text("fullname", "Full Name", 200)),
		readOnly(flag("isdisabled", "Status", "Enabled", "Disabled")),
	}
	return newTable(table{name: "systemuser", set: "systemusers", label: "User", plural: "Users",
		id: "systemuserid", title: "fullname", system: true, columns: columns})
}

// communities are those of every organization; apps of the customer engagement family add more.
var communities = []choice{{value: 0, label: "Other"}, {value: 1, label: "Facebook"}, {value: 2, label: "Twitter"}}

// text is one line of text, memo a long one; length is their maximum in UTF-16 code units. On the wire they are the same.
func text(name, label string, length int) column {
	return column{name: name, label: label, kind: kindString, length: length, create: true, update: true}
}

func memo(name, label string, length int) column {
	return column{name: name, label: label, kind: kindMemo, length: length, create: true, update: true}
}

func date(name, label string) column {
	return column{name: name, label: label, kind: kindDateTime, create: true, update: true}
}

// double is a number of two decimal places from low to high; a value outside is refused.
func double(name, label string, low, high float64) column {
	return column{name: name, label: label, kind: kindDouble, min: low, max: high, create: true, update: true}
}

// flag is a boolean that is false at first.
func flag(name, label, no, yes string) column {
	return column{name: name, label: label, kind: kindBoolean, create: true, update: true, initial: false,
		choices: []choice{{value: 0, label: no}, {value: 1, label: yes}}}
}

// pick is a choice. initial is the value of a create that leaves the column out, as int64, or nil for none.
func pick(name, label string, initial any, choices ...choice) column {
	return column{name: name, label: label, kind: kindPicklist, create: true, update: true, initial: initial, choices: choices}
}

// refer is a lookup. Targets that are not installed are left out when the schema is built.
func refer(name, label string, targets ...target) column {
	return column{name: name, label: label, kind: kindLookup, create: true, update: true, targets: targets}
}

// customer is a lookup to an account or a contact.
func customer(name, label string) column {
	return column{name: name, label: label, kind: kindCustomer, create: true, update: true,
		targets: []target{{"account", name + "_account"}, {"contact", name + "_contact"}}}
}

// states is never valid for create: every record starts in its first state.
func states(choices ...choice) column {
	return column{name: "statecode", label: "Status", kind: kindState, update: true, initial: int64(0), choices: choices, level: "SystemRequired"}
}

// statuses belong to states; a create may set one of the first state.
func statuses(initial int64, choices ...choice) column {
	return column{name: "statuscode", label: "Status Reason", kind: kindStatus, create: true, update: true, initial: initial, choices: choices}
}

// activeStates are the states of tables without states of their own.
func activeStates() []column {
	return []column{
		states(choice{value: 0, label: "Active", status: 1}, choice{value: 1, label: "Inactive", status: 2}),
		statuses(1, choice{value: 1, label: "Active"}, choice{value: 2, label: "Inactive", state: 1}),
	}
}

// readOnly makes a column that only the organization writes.
func readOnly(c column) column {
	c.create, c.update = false, false
	return c
}

// once makes a column that only a create may set.
func once(c column) column {
	c.update = false
	return c
}

// formRequired marks a column that forms require and the Web API does not: metadata shows it, and no write is refused for it.
func formRequired(c column) column {
	c.level = "ApplicationRequired"
	return c
}
