package sandbox

func (s *Sandbox) function(c *call, segment, rest string) (answer, error) {
	return answer{}, noSegment(segment)
}
