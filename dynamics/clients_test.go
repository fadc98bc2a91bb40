package dynamics_test

import (
	"errors"
	"testing"

	"postlink/dynamics"
)

func TestAClientIsMadeOnceForEachAddressOfAnInstance(t *testing.T) {
	t.Parallel()
	var dialled []string
	var fail error
	clients := dynamics.NewClients(func(i dynamics.Instance) (*dynamics.Client, error) {
		if fail != nil {
			return nil, fail
		}
		dialled = append(dialled, i.URL)
		return dynamics.New(dynamics.Options{Instance: i, Tokens: dynamics.StaticToken("t")})
	})
	t.Cleanup(clients.Close)
	client := func(name, url, secret string) *dynamics.Client {
		t.Helper()
		c, err := clients.Client(dynamics.Instance{
			Name: name, URL: url, Auth: dynamics.Auth{Kind: dynamics.AuthStatic, Token: dynamics.Secret{Env: secret}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	const here, there = "https://contoso.crm.dynamics.com", "https://elsewhere.crm.dynamics.com"
	first := client("contoso", here, "A")
	if client("contoso", here, "A") != first {
		t.Error("the second client of one address is another one")
	}
	if client("fabrikam", here, "A") == first {
		t.Error("two instances share a client, and so the memory of known authors")
	}
	secret := client("contoso", here, "B")
	if secret == first {
		t.Error("the client stays that of the old authentication")
	}
	if client("contoso", there, "B") == secret {
		t.Error("the client stays that of the old address")
	}
	if len(dialled) != 4 {
		t.Errorf("dialled %v", dialled)
	}

	fail = errors.New("TOKEN is not set")
	if _, err := clients.Client(dynamics.Instance{Name: "northwind", URL: here}); !errors.Is(err, fail) {
		t.Errorf("error %v", err)
	}
	fail = nil
	if client("northwind", here, "") == nil {
		t.Error("no client once its secret is there")
	}
}

func TestOnlyAnOrganizationThatSaysSoRefusesSocialData(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, test := range map[string]struct {
		says *bool
		want error
	}{
		"it refuses":       {&yes, dynamics.ErrSocialData},
		"it takes them":    {&no, nil},
		"it does not tell": {nil, nil},
	} {
		if err := (dynamics.Organization{SocialDataDisabled: test.says}).RefusesSocialData(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
