package instance_test

import (
	"context"
	"fmt"
	"time"

	"postlink/worker/bus/bustest"
	"postlink/worker/instance"
)

// A worker parks an instance; another one is answered by it later.
func Example() {
	b, stop := bustest.Temporary()
	defer stop()
	ctx := context.Background()
	statuses, err := instance.Open(ctx, b)
	if err != nil {
		panic(err)
	}
	show := func() {
		s, err := statuses.Read(ctx, "contoso")
		fmt.Printf("parked: %q, since %s, last seen %s, %v\n", s.Parked, s.ParkedSince.Format(time.TimeOnly), s.LastSeen.Format(time.TimeOnly), err)
	}
	morning := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	for minutes, why := range []string{"the password is wrong", "the user is disabled"} {
		err = statuses.Update(ctx, "contoso", func(s *instance.Status) { s.Park(why, morning.Add(time.Duration(minutes)*time.Minute)) })
		if err != nil {
			panic(err)
		}
	}
	show()
	err = statuses.Update(ctx, "contoso", func(s *instance.Status) { s.Answered(morning.Add(time.Hour)) })
	if err != nil {
		panic(err)
	}
	show()
	// Output:
	// parked: "the user is disabled", since 09:00:00, last seen 00:00:00, <nil>
	// parked: "", since 00:00:00, last seen 10:00:00, <nil>
}
