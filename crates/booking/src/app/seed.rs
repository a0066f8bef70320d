use kit::idempotency::Key;
use uuid::Uuid;

use super::{AddService, AddStaff, Bookings, CreateMerchant, OfferServices, SetHours};
use crate::domain::{Currency, Length, Name, Notice, Owner, Price, Shift, Week};

/// The services of the demo's salon: name, minutes, buffer minutes, yen.
const SERVICES: [(&str, i32, i32, i64); 3] =
    [("Cut", 45, 15, 5500), ("Color", 90, 30, 12_000), ("Head spa", 60, 0, 8800)];

const PEOPLE: [&str; 3] = ["Yuki", "Haru", "Aoi"];

impl Bookings {
    /// Creates the demo's salon for this member, with staff who work from Tuesday to Sunday, and returns its id. A
    /// repetition within three days returns the same salon.
    pub async fn seed(&self, owner: Owner) -> anyhow::Result<Uuid> {
        let wanted = CreateMerchant {
            owner_id: owner.id(),
            name: Name::try_new("Salon Sakura")?,
            time_zone: "Asia/Tokyo".parse()?,
            currency: Currency::try_new("JPY")?,
            notice: Notice::try_new(24 * 60)?,
        };
        let merchant = self.create_merchant(key("merchant", "")?, wanted).await?.into_value()?;
        let merchant_id = merchant.merchant_id;
        let mut service_ids = Vec::new();
        for (name, minutes, buffer, price) in SERVICES {
            let wanted = AddService {
                owner,
                merchant_id,
                name: Name::try_new(name)?,
                length: Length::try_new(minutes, buffer)?,
                price: Price::try_new(price)?,
            };
            let service = self.add_service(key("service", name)?, wanted).await?.into_value()?;
            service_ids.push(service.service_id);
        }
        let shifts = (2..=7).flat_map(|weekday| {
            [("10:00", "13:00"), ("14:00", "19:00")].map(|(opens, closes)| (weekday, opens, closes))
        });
        let shifts = shifts.map(|(weekday, opens, closes)| {
            anyhow::Ok(Shift { weekday, opens: opens.parse()?, closes: closes.parse()? })
        });
        let week = Week::try_new(shifts.collect::<Result<_, _>>()?)?;
        for name in PEOPLE {
            let wanted = AddStaff { owner, merchant_id, name: Name::try_new(name)? };
            let staff = self.add_staff(key("staff", name)?, wanted).await?.into_value()?;
            let (staff_id, service_ids) = (staff.staff_id, service_ids.clone());
            self.offer_services(OfferServices { owner, merchant_id, staff_id, service_ids })
                .await?;
            let week = week.clone();
            self.set_hours(SetHours { owner, merchant_id, staff_id, week }).await?;
        }
        Ok(merchant_id)
    }
}

fn key(kind: &str, name: &str) -> anyhow::Result<Key> {
    Ok(Key::new(&format!("seed {kind} {name}"), "seed", name.as_bytes())?)
}
