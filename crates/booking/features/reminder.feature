Feature: Reminders by LINE
  The day before, a member hears of the appointment: once, however LINE fails meanwhile.

  Background:
    Given a salon in Tokyo that is open from 9 to 17, with a break at noon
    And Ann follows the salon at LINE
    And Ann has booked 4 January at 09:00
    And messages are sent

  Scenario: The day before
    When it is 3 January at 10:00
    And messages are sent
    Then Ann has read "Shears: we expect you on 2030-01-04 09:00."

  Scenario: A reminder that fails is tried again
    Given it is 3 January at 10:00
    When LINE answers 500
    And messages are sent
    Then Ann's reminder is pending because of line_500
    When LINE works again
    And messages are sent
    Then Ann's reminder is sent
    And Ann has read "Shears: we expect you on 2030-01-04 09:00."
    When messages are sent
    Then Ann has read it once

  Scenario: LINE takes it and the answer is lost
    Given it is 3 January at 10:00
    When LINE takes messages and does not answer
    And messages are sent
    Then Ann's reminder is pending because of timeout
    When LINE works again
    And messages are sent
    Then Ann's reminder is sent
    And Ann has read it once
