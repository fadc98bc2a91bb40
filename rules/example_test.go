package rules_test

import (
	"fmt"
	"time"

	"postlink/payload"
	"postlink/rules"
	"postlink/rules/source"
)

func ExampleCompile() {
	var problems source.Problems
	list, ok := source.Parse("rules.yaml", []byte(`
- name: complaints
  when: post.sentiment == "negative"
  link: {instance: contoso, entity: incident}
- name: cancelled-flights
  when: post.sentiment == "negative" && post.mentions("cancelled")
  link: {instance: contoso, entity: incident, notes: Flight trouble}
`), &problems)
	if !ok {
		fmt.Println(problems)
		return
	}
	all := rules.ReadRules(list)
	for i := range all {
		all[i].Age = uint64(i + 1) // the catalog does this: later rules are newer
	}
	set, err := rules.Compile(all)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, text := range []string{"Cancelled, again!", "My seat is broken"} {
		post := &payload.Post{ID: "1", Sentiment: "negative", Text: text}
		fmt.Printf("%q is taken by %s\n", text, set.Match(post, time.Time{}).Rule.Name)
	}
	for _, e := range set.Explain(&payload.Post{ID: "1", Sentiment: "negative", Text: "Cancelled, again!"}) {
		fmt.Println(e.Rule.Name, e.Outcome)
	}
	// Output:
	// "Cancelled, again!" is taken by cancelled-flights
	// "My seat is broken" is taken by complaints
	// cancelled-flights acts
	// complaints shadowed
}

func ExampleCompile_problems() {
	_, err := rules.Compile([]rules.Rule{{Name: "late", When: `post.sentimnt == "negative"`, Link: rules.Link{Instance: "contoso", Entity: "incident"}}})
	fmt.Println(err)
	// Output:
	// 1:6: rule "late": unknown name post.sentimnt; did you mean sentiment?
	//   1 | post.sentimnt == "negative"
	//     |      ^
}
