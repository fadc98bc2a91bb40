package catalog_test

import (
	"fmt"
	"os"
	"testing/fstest"

	"postlink/worker/catalog"
)

func ExampleLoadFS() {
	c, err := catalog.LoadFS(fstest.MapFS{"catalog.yaml": {Data: []byte(`
instances:
  - name: contoso
    url: https://contoso.crm.dynamics.com
    auth: {kind: static, token: {env: CONTOSO_TOKEN}}
    entities:
      - name: incident
        fields: [title, ticketnumber]
rules:
  - name: complaints
    when: post.sentiment == "negative"
    link: {instance: contoso, entity: incident}
`)}})
	if err != nil {
		fmt.Println(err) // all problems of all files, each with its position
		return
	}
	fmt.Println("active rules that link to incident of contoso:", c.Users("contoso", "incident"))
	if err := c.DeactivateRule("complaints"); err != nil {
		fmt.Println(err)
	}
	if err := c.RemoveEntity("contoso", "lead"); err != nil {
		fmt.Println(err)
	}
	if err := c.Export(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// active rules that link to incident of contoso: [complaints]
	// instance "contoso" has no entity "lead"; configured: incident
	// instances:
	//   - name: contoso
	//     url: https://contoso.crm.dynamics.com
	//     auth:
	//       kind: static
	//       token: {env: CONTOSO_TOKEN}
	//     entities:
	//       - name: incident
	//         fields: [title, ticketnumber]
	// rules:
	//   - name: complaints
	//     active: false
	//     when: post.sentiment == "negative"
	//     link:
	//       instance: contoso
	//       entity: incident
}
