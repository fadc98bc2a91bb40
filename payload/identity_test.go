package payload_test

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"postlink/payload"
)

// TestIdentitiesNeverChange pins GUIDs that stand in people's Dynamics: a change here would create every record anew.
func TestIdentitiesNeverChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		got  uuid.UUID
		want string
	}{
		"an activity":                 {payload.ActivityID("contoso", "twitter", "7001", 1), "f770e583-c841-5d4e-885c-7184797a234d"},
		"an activity linked again":    {payload.ActivityID("contoso", "twitter", "7001", 2), "31dc90cd-eaf0-5f19-ab24-7070afa3d47d"},
		"a contact":                   {payload.ContactID("contoso", "twitter", "40001"), "81348e90-9286-5363-8d61-d6b697484928"},
		"a profile":                   {payload.ProfileID("contoso", "twitter", "40001"), "67affcf8-925f-5c29-82cf-bf64011f4329"},
		"an activity in many scripts": {payload.ActivityID("größe", "фб", "投稿 *>.", 1), "2efbd36c-d605-5501-ae2f-b919ca6c544c"},
	} {
		if got := tc.got.String(); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
		if tc.got.Version() != 5 {
			t.Errorf("%s: version %d, want 5", name, tc.got.Version())
		}
	}
}

func TestIdentitiesDifferWhereverAnArgumentDiffers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type args struct {
			instance, network, id string
			generation            int
		}
		draw := func(label string) args {
			part := rapid.StringMatching(`[ab|:\x00]{0,3}`)
			return args{part.Draw(t, label+" instance"), part.Draw(t, label+" network"), part.Draw(t, label+" id"), rapid.IntRange(1, 12).Draw(t, label+" generation")}
		}
		a, b := draw("first"), draw("second")
		same := payload.ActivityID(a.instance, a.network, a.id, a.generation) == payload.ActivityID(b.instance, b.network, b.id, b.generation)
		if same != (a == b) {
			t.Fatalf("%+v and %+v: same identity %t", a, b, same)
		}
	})
}

// TestIdentitiesKeepTheirPartsApart splits one text in every way into three parts: no two splits may meet.
func TestIdentitiesKeepTheirPartsApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(1, 12, 40).Draw(t, "text")
		seen := make(map[uuid.UUID][2]int)
		for i := 0; i <= len(text); i++ {
			for j := i; j <= len(text); j++ {
				for _, id := range []uuid.UUID{
					payload.ActivityID(text[:i], text[i:j], text[j:], 1),
					payload.ContactID(text[:i], text[i:j], text[j:]),
					payload.ProfileID(text[:i], text[i:j], text[j:]),
				} {
					if other, ok := seen[id]; ok {
						t.Fatalf("%q split at %d, %d is the same as at %v", text, i, j, other)
					}
					seen[id] = [2]int{i, j}
				}
			}
		}
	})
}

func TestIdentityIsThatOfThePostHoweverItsIDIsWritten(t *testing.T) {
	t.Parallel()
	want := payload.ActivityID("contoso", "twitter", "70é", 1)
	for _, id := range []string{`"70é"`, `" 70é\n"`, `"70e\u0301"`, `"\u0037\u0030\u00e9"`} {
		p, err := payload.DecodePost([]byte(`{"id":` + id + `,"source":{"param":"Twitter"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := payload.ActivityID("contoso", p.Network, p.ID, 1); got != want {
			t.Errorf("id %s is %q", id, p.ID)
		}
	}
}
