package source_test

import (
	"fmt"

	"postlink/rules/source"
)

func ExampleParse() {
	var problems source.Problems
	n, ok := source.Parse("rules.yaml", []byte("name: late\nactiv: true\nwhen: 5\n"), &problems)
	if ok {
		fields := n.Fields("name", "active", "when")
		fmt.Println("name:", fields["name"].Text(), "at", fields["name"].Pos())
		fields["when"].Text()
	}
	problems.Sort()
	fmt.Println(problems)
	// Output:
	// name: late at rules.yaml:1:7
	// rules.yaml:2:1: unknown key "activ"; did you mean active?
	//   2 | activ: true
	//     | ^
	// rules.yaml:3:7: 5 is a number, not a text; put it in quotes: "5"
	//   3 | when: 5
	//     |       ^
}
